// PyTorch's CPU generator (MT19937) and its `randperm`, for the original's sample order (reference 9).

const SIZE = 624;
const SHIFT = 397;

/** @param seed its low 32 bits count. @returns the next 32-bit number at each call */
export function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(SIZE);
  state[0] = seed >>> 0;
  for (let j = 1; j < SIZE; j++) {
    const previous = state[j - 1] ^ (state[j - 1] >>> 30);
    state[j] = Math.imul(1812433253, previous) + j;
  }
  let next = SIZE;
  return () => {
    if (next === SIZE) {
      regenerate(state);
      next = 0;
    }
    let y = state[next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  };
}

function regenerate(state: Uint32Array): void {
  for (let i = 0; i < SIZE; i++) {
    const y = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff);
    state[i] = state[(i + SHIFT) % SIZE] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
  }
}

/** `torch.randperm(n)` of a generator seeded with `seed`. */
export function torchRandperm(seed: number, n: number): Uint32Array {
  const random = mersenneTwister(seed);
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = 0; i < n - 1; i++) {
    const j = i + (random() % (n - i));
    const held = order[i];
    order[i] = order[j];
    order[j] = held;
  }
  return order;
}
