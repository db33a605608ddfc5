"""The pages: each a function from a desk and a query to plain data, which a template renders."""
