//! Words of the domain: ids, ARNs, states, resources, timestamps. Pure.
