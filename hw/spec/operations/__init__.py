"""The rows of the instruction table: each with its fields, walks over memory and cycles."""
