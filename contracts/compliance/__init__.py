"""Who may be dealt with: know your customer, and sanctions."""
