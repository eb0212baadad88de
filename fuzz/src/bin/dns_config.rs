#![no_main]
longshore_fuzz::target!(dns_config);
