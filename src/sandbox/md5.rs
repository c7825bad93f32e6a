//! MD5 (RFC 1321), which APOP asks for (RFC 1939 §7) and no current crypto library offers any more.
//! Never use it for anything that must hold.

const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The digest in lower-case hexadecimal, as APOP sends it.
pub(super) fn md5_hex(message: &[u8]) -> String {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64).wrapping_mul(8).to_le_bytes());
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.chunks_exact(64) {
        compress(&mut state, block);
    }
    state.iter().fold(String::new(), |hex, word: &u32| hex + &format!("{:08x}", word.swap_bytes()))
}

fn compress(state: &mut [u32; 4], block: &[u8]) {
    let mut words = [0_u32; 16];
    for (word, octets) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = octets.iter().rev().fold(0, |word, octet| (word << 8) | u32::from(*octet));
    }
    let [mut a, mut b, mut c, mut d] = *state;
    for step in 0..64_u32 {
        let (round, mixed, word) = match step / 16 {
            0 => (0, (b & c) | (!b & d), step),
            1 => (1, (d & b) | (!d & c), 5 * step + 1),
            2 => (2, b ^ c ^ d, 3 * step + 5),
            _ => (3, c ^ (b | !d), 7 * step),
        };
        let word = words.get(word as usize % 16).copied().unwrap_or_default();
        let shifts: [u32; 4] = SHIFTS.get(round).copied().unwrap_or_default();
        let shift = shifts.get(step as usize % 4).copied().unwrap_or_default();
        let sum = a.wrapping_add(mixed).wrapping_add(sine(step)).wrapping_add(word);
        (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(shift)));
    }
    for (word, change) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(change);
    }
}

/// RFC 1321 §3.4: the integer part of 2³² · |sin(step + 1)|.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ |sin| · 2³² < 2³²")]
fn sine(step: u32) -> u32 {
    (f64::from(step + 1).sin().abs() * 4_294_967_296.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_test_suite_of_rfc_1321() {
        let table = [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ];
        for (message, digest) in table {
            assert_eq!(md5_hex(message.as_bytes()), digest);
        }
    }

    #[test]
    fn agrees_with_the_example_of_rfc_1939() {
        assert_eq!(md5_hex(b"<1896.697170952@dbc.mtview.ca.us>tanstaaf"), "c4c9334bac560ecc979e58001b3e22fb");
    }
}
