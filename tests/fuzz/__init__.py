"""Messages and paging tokens that nobody sends by mistake, and what the services make of them."""
