// Random numbers as torch draws them on the CPU, so that a seed means the same network on a page and in
// Python (tests/widgets/test_limiting_flow.py compares them).

/**
 * The generator MT19937 (Matsumoto and Nishimura 1998) with torch's uniform and normal numbers in float64.
 *
 * @param {number} seed a whole number below 2³²
 */
export function mersenneTwister(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let j = 1; j < 624; j++) {
    state[j] = Math.imul(1812433253, state[j - 1] ^ (state[j - 1] >>> 30)) + j;
  }
  let next = 624;

  /** 32 random bits. */
  function word() {
    if (next === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      next = 0;
    }
    let y = state[next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** A number of [0, 1) from the last 53 of 64 random bits. */
  function uniform() {
    const high = word() & 0x1fffff;
    return (high * 2 ** 32 + word()) / 2 ** 53;
  }

  /** Half of a pair that the last call has left over. */
  let kept = NaN;

  return {
    word,
    /**
     * torch.randn(count): Box and Muller's pairs, one after the other for fewer than 16 numbers; for more, in
     * blocks of 16, of which the last one reaches back over numbers drawn already.
     *
     * @param {number} count
     */
    normals(count) {
      const out = new Float64Array(count);
      if (count < 16) {
        for (let i = 0; i < count; i++) {
          if (!Number.isNaN(kept)) {
            out[i] = kept;
            kept = NaN;
            continue;
          }
          const angle = 2 * Math.PI * uniform();
          const radius = Math.sqrt(-2 * Math.log1p(-uniform()));
          kept = radius * Math.sin(angle);
          out[i] = radius * Math.cos(angle);
        }
        return out;
      }
      for (let i = 0; i < count; i++) out[i] = uniform();
      for (let i = 0; i + 16 <= count; i += 16) pairs(out.subarray(i, i + 16));
      if (count % 16) {
        const last = out.subarray(count - 16);
        for (let i = 0; i < 16; i++) last[i] = uniform();
        pairs(last);
      }
      return out;
    },
  };
}

/** Make 16 normal numbers of 16 uniform ones. @param {Float64Array} block */
function pairs(block) {
  for (let j = 0; j < 8; j++) {
    const radius = Math.sqrt(-2 * Math.log(1 - block[j]));
    const angle = 2 * Math.PI * block[j + 8];
    block[j] = radius * Math.cos(angle);
    block[j + 8] = radius * Math.sin(angle);
  }
}
