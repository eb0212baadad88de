mod sigv4;
