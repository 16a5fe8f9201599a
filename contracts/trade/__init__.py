"""Trade: credits, bills of lading, and the calendars that their deadlines go by."""
