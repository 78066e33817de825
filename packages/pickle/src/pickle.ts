// Writes pickles of protocol 2 with only those opcodes that PyTorch's `weights_only=True` accepts. What needs Python's
// view of things (tuples, floats that look whole, classes) is said with an expression of `python`.

import { PickleWriter } from './pickle-writer.js';

/** Arrays become lists, Maps dicts, whole numbers int, other numbers float. */
export type Picklable =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Picklable[]
  | ReadonlyMap<Picklable, Picklable>
  | PythonExpression;

export type PythonExpression =
  | { readonly kind: 'tuple'; readonly items: readonly Picklable[] }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'global'; readonly module: string; readonly name: string }
  | { readonly kind: 'call'; readonly type: Picklable; readonly args: readonly Picklable[] }
  | { readonly kind: 'object'; readonly type: Picklable; readonly attributes: ReadonlyMap<Picklable, Picklable> }
  | { readonly kind: 'ordered'; readonly items: ReadonlyMap<Picklable, Picklable>; readonly attributes: Picklable }
  | { readonly kind: 'persistent'; readonly id: Picklable };

export const python = {
  tuple: (...items: readonly Picklable[]): Picklable => ({ kind: 'tuple', items }),
  float: (value: number): Picklable => ({ kind: 'float', value }),
  global: (module: string, name: string): Picklable => ({ kind: 'global', module, name }),
  /** `type(*args)` at the time of loading. */
  call: (type: Picklable, args: readonly Picklable[]): Picklable => ({ kind: 'call', type, args }),
  /** An instance made without arguments, with these attributes. */
  object: (type: Picklable, attributes: ReadonlyMap<Picklable, Picklable>): Picklable => ({
    kind: 'object',
    type,
    attributes,
  }),
  /** A `collections.OrderedDict`, with attributes of its own where given. */
  orderedDict: (
    items: ReadonlyMap<Picklable, Picklable>,
    attributes: ReadonlyMap<Picklable, Picklable> | null = null,
  ): Picklable => ({ kind: 'ordered', items, attributes }),
  persistent: (id: Picklable): Picklable => ({ kind: 'persistent', id }),
} as const;

/**
 * @returns the whole pickle
 * @throws RangeError for whole numbers of more than 255 bytes and for values nested deeper than 200
 */
export function pickle(value: Picklable): Uint8Array {
  const writer = new PickleWriter();
  writer.put('\x80\x02');
  writer.value(value, 0);
  writer.put('.');
  return writer.bytes();
}
