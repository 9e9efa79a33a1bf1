//! Evidence through the public interface: bundles that real tools wrote, bundles of our own and
//! altered ones, authenticated by a trust root and judged by a policy.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod bundles;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod cosign;
#[cfg(test)]
mod goldens;
#[cfg(test)]
mod keyless;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod trust;
