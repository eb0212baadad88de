#![no_main]
longshore_fuzz::target!(tokens);
