mod protocols;
mod sigv4;
