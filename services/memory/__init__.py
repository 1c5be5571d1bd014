"""Documents that are kept between runs."""
