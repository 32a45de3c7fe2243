//! Small systems, every interleaving: the real core between clients and servers that are values.

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod client;
#[cfg(test)]
mod ensemble;
#[cfg(test)]
mod explore;
#[cfg(test)]
mod history;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod order;
#[cfg(test)]
mod part;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod words;
#[cfg(test)]
mod world;
