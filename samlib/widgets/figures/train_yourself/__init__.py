"""A classifier of digits that trains in the page, by two methods side by side."""
