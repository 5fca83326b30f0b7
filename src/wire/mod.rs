//! SEND it: Flight service, tickets, encoding, status. Streams `Sealed` and nothing else.
