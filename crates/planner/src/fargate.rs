//! The sizes that Fargate offers.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html>

/// CPU units, and the memory that goes with them: smallest, largest, step, all in MiB.
const SIZES: [(u32, u32, u32, u32); 6] = [
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16_384, 1024),
    (4096, 8192, 30_720, 1024),
    (8192, 16_384, 61_440, 4096),
    (16_384, 32_768, 122_880, 8192),
];

/// Whether Fargate runs tasks of this size (CPU units and MiB).
pub fn is_offered(cpu_units: u32, memory_mib: u32) -> bool {
    if cpu_units == 256 {
        return matches!(memory_mib, 512 | 1024 | 2048);
    }
    SIZES.iter().any(|&(cpu, least, most, step)| {
        cpu == cpu_units && (least..=most).contains(&memory_mib) && memory_mib.is_multiple_of(step)
    })
}

/// Whether Fargate knows this CPU value at all.
pub fn is_cpu(cpu_units: u32) -> bool {
    cpu_units == 256 || SIZES.iter().any(|&(cpu, ..)| cpu == cpu_units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_table() {
        for (cpu, memory) in [(256, 512), (256, 2048), (512, 1024), (1024, 8192), (4096, 30_720), (16_384, 122_880)] {
            assert!(is_offered(cpu, memory), "{cpu}/{memory}");
        }
        for (cpu, memory) in [(256, 4096), (256, 1536), (512, 512), (512, 5120), (1000, 2048), (8192, 17_408), (0, 0)] {
            assert!(!is_offered(cpu, memory), "{cpu}/{memory}");
        }
    }
}
