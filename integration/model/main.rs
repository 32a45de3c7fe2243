//! Small systems, every interleaving: the real core between clients and servers that are values.

#[cfg(test)]
mod ensemble;
