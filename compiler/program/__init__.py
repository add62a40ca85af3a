"""Tasks become a program: waits, order, proof."""
