#![no_main]
longshore_fuzz::target!(log_files);
