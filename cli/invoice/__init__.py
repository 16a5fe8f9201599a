"""Invoices in UBL and CII: read, checked by EN 16931, recognised again."""
