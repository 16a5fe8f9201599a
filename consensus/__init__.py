"""What every node must agree on, pure: data types, rules, the PBFT core."""
