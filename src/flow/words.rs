//! Codes → words: TCP flags and traffic paths.

/// Names of the TCP flags, by bit from the lowest, in the order in which they are listed. AWS documents the first six;
/// the others are RFC 3168's. A record of nothing but ACK packets says 0, which names none.
pub const TCP_FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

/// Which way egress traffic leaves, by the code of `traffic-path`. Source: "Available fields" in the Amazon VPC user
/// guide. `None` for a code that it does not list.
pub fn traffic_path(code: &[u8]) -> Option<&'static str> {
    Some(match code {
        b"1" => "same-vpc",
        // Instances that are not Nitro-based cannot tell the two apart.
        b"2" => "internet-gateway-or-gateway-endpoint",
        b"3" => "virtual-private-gateway",
        b"4" => "vpc-peering",
        b"5" => "inter-region-vpc-peering",
        b"6" => "local-gateway",
        b"7" => "gateway-endpoint",
        b"8" => "internet-gateway",
        _ => return None,
    })
}
