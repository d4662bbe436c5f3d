"""Parts that are wrong in one way each, and the right ones that they were made from."""
