"""What droplets cost: prices, hours that are billed, and what a month saved. Pure."""
