// The options of a run as Python kept them, as JSON. Cyclic and over-long values are cut: they are for people to look at.
import { Namespace, OpaqueObject, type PickleValue } from '@slip/pickle';

const MAX_DEPTH = 6;
/** Values in all; a pickle can share them so that walking it would never end. */
const MAX_VALUES = 5000;
const MAX_TEXT = 4096;

/** `argparse.Namespace` or dict to an object; keys that are not text are spelled. */
export function plainArgs(args: Namespace | ReadonlyMap<PickleValue, PickleValue>): Record<string, unknown> {
  return new PlainValues().map(args instanceof Namespace ? args.attributes : args, 0);
}

class PlainValues {
  #left = MAX_VALUES;

  map(map: ReadonlyMap<PickleValue, PickleValue>, depth: number): Record<string, unknown> {
    // fromEntries defines properties, so a key named __proto__ is an ordinary one.
    return Object.fromEntries(
      [...map].map(([key, value]) => [String(this.#value(key, depth + 1)), this.#value(value, depth + 1)]),
    );
  }

  #value(value: PickleValue, depth: number): unknown {
    if (value === null || typeof value === 'boolean') return value;
    if (typeof value === 'string') return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}...` : value;
    // JSON has none of these; the words are Python's.
    if (typeof value === 'number') {
      if (Object.is(value, -0)) return 0;
      return Number.isFinite(value) ? value : String(value).replace('Infinity', 'inf').toLowerCase();
    }
    if (typeof value === 'bigint') return String(value);
    if (depth > MAX_DEPTH || this.#left-- <= 0) return '...';
    if (Array.isArray(value)) return value.map((item) => this.#value(item, depth + 1));
    if (value instanceof Set) return [...value].map((item) => this.#value(item, depth + 1));
    if (value instanceof Map) return this.map(value, depth);
    if (value instanceof Namespace) return this.map(value.attributes, depth);
    if (value instanceof OpaqueObject) return `<${value.type}>`;
    return `<${value.constructor.name}>`;
  }
}
