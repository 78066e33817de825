// Random streams that are a pure function of their keys: no global state, so order of use and number of workers cannot
// change what is drawn. Not a copy of any framework's generator (the sampler's torch mode has its own).

import { MOST_ORDERED, newRandomKernels, randomKernels } from './random-kernels.js';

const MASK_64 = (1n << 64n) - 1n;

/** SplitMix64's finaliser: a bijection on 64-bit integers with good avalanche (Steele et al., OOPSLA 2014). */
function mix64(value: bigint): bigint {
  let z = value & MASK_64;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK_64;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK_64;
  return z ^ (z >> 31n);
}

function hashKeys(keys: readonly (number | string)[]): bigint {
  let state = 0x9e3779b97f4a7c15n;
  for (const key of keys) {
    if (typeof key === 'number') {
      if (!Number.isSafeInteger(key)) throw new RangeError(`random stream key ${key} is not an integer`);
      state = mix64(state ^ (BigInt(key) & MASK_64) ^ 0x6e756dn);
    } else {
      for (const byte of Buffer.from(key, 'utf8')) state = mix64(state ^ BigInt(byte) ^ 0x737472n);
    }
    state = (state + 0x9e3779b97f4a7c15n) & MASK_64;
  }
  return mix64(state);
}

/** A stream of numbers determined by its keys (sfc32 seeded by a hash of the keys). */
export class RandomStream {
  private a: number;
  private b: number;
  private c: number;
  private counter: number;
  private spareNormal: number | undefined;

  /** @param keys integers or strings, for example `new RandomStream(seed, 'augment', epoch, sample, view)` */
  constructor(...keys: (number | string)[]) {
    const low = hashKeys(keys);
    const high = mix64(low ^ 0xd1342543de82ef95n);
    this.a = Number(low & 0xffffffffn) | 0;
    this.b = Number(low >> 32n) | 0;
    this.c = Number(high & 0xffffffffn) | 0;
    this.counter = 1;
    for (let i = 0; i < 12; i++) this.nextUint32();
  }

  /** Uniform integer in [0, 2^32). */
  nextUint32(): number {
    const t = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + t) | 0;
    return t >>> 0;
  }

  /** Uniform in [low, high), 53 bits. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * unitOf(this.nextUint32(), this.nextUint32());
  }

  /** Uniform integer in [0, bound), without modulo bias. @throws RangeError when bound is not in 1..2^32 */
  integer(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 4294967296)
      throw new RangeError(`bound ${bound} not in 1..2^32`);
    const limit = 4294967296 - (4294967296 % bound);
    let value = this.nextUint32();
    while (value >= limit) value = this.nextUint32();
    return value % bound;
  }

  /** Normal with the given mean and standard deviation (polar Box-Muller). */
  normal(mean = 0, std = 1): number {
    if (this.spareNormal !== undefined) {
      const spare = this.spareNormal;
      this.spareNormal = undefined;
      return mean + std * spare;
    }
    for (;;) {
      const u = this.uniform(-1, 1);
      const v = this.uniform(-1, 1);
      const s = u * u + v * v;
      if (s > 0 && s < 1) {
        const factor = Math.sqrt((-2 * Math.log(s)) / s);
        this.spareNormal = v * factor;
        return mean + std * u * factor;
      }
    }
  }

  /**
   * Fills `target` with the numbers that as many calls of `normal` give, in a fraction of the time: a model begins with 10^8 of them.
   *
   * @param limit what is further from 0 is drawn again
   */
  fillNormal(target: Float32Array, mean: number, std: number, limit = Number.POSITIVE_INFINITY): void {
    const { state, spare, hasSpare, drawn, fillNormal } = randomKernels();
    state.set([this.a, this.b, this.c, this.counter]);
    hasSpare[0] = this.spareNormal === undefined ? 0 : 1;
    spare[0] = this.spareNormal ?? 0;
    for (let begin = 0; begin < target.length; begin += drawn.length) {
      const count = Math.min(drawn.length, target.length - begin);
      fillNormal(count, mean, std, limit);
      target.set(drawn.subarray(0, count), begin);
    }
    this.takeState(state);
    this.spareNormal = hasSpare[0] === 0 ? undefined : spare[0];
  }

  /**
   * A permutation of 0..n-1 (Fisher-Yates), with the numbers that `integer` gives: a set has 10^7 samples.
   * @throws RangeError for more than 10^9
   */
  permutation(n: number): Uint32Array {
    if (n > MOST_ORDERED) throw new RangeError(`a permutation of ${n} is more than one of ${MOST_ORDERED}`);
    return n < MANY ? this.fewPermuted(n) : this.manyPermuted(n);
  }

  private fewPermuted(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let last = n - 1; last > 0; last--) {
      const place = this.integer(last + 1);
      [order[last], order[place]] = [order[place], order[last]];
    }
    return order;
  }

  private manyPermuted(n: number): Uint32Array {
    const { state, order, shuffle } = newRandomKernels(n);
    for (let i = 0; i < n; i++) order[i] = i;
    state.set([this.a, this.b, this.c, this.counter]);
    // In several calls: only a call that begins when the engine has optimised the kernel is fast.
    for (let last = n - 1; last > 0; last -= MANY) shuffle(last, Math.max(0, last - MANY));
    this.takeState(state);
    return order;
  }

  private takeState([a, b, c, counter]: Int32Array): void {
    Object.assign(this, { a, b, c, counter });
  }
}

/** Numbers from which on kernels and memory of their own pay. */
const MANY = 1 << 16;

/** Two words as a number in [0, 1) of 53 bits. */
function unitOf(high: number, low: number): number {
  return ((high >>> 5) * 67108864 + (low >>> 6)) / 9007199254740992;
}
