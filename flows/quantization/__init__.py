"""Float models become int8."""
