"""Co-simulation of compiled programs on the RTL with cocotb and Verilator."""
