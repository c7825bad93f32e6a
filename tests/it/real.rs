//! Real servers and real clients through the proxy, each compared with the same run direct.
