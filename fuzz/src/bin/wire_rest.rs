#![no_main]
longshore_fuzz::target!(wire_rest);
