"""Finance: claims on banks, money held in trust."""
