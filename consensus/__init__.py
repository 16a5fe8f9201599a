"""What every node must agree on, pure: data types, rules, the PBFT core. No I/O, clock or chance."""
