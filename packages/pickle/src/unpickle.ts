// Reads one pickle. It interprets data and nothing else: no name in a pickle reaches any function of this process.
import { type AllowList, type Fail, PYTHON_GLOBALS } from './allow-list.js';
import { Machine } from './machine.js';
import { OffsetMemo } from './memo.js';
import { NUMPY_GLOBALS } from './numpy-globals.js';
import { OPCODES } from './opcodes.js';
import type { PickleInput } from './pickle-input.js';
import { TORCH_GLOBALS } from './torch-globals.js';
import { ItemList, type PickleValue } from './values.js';

export interface UnpickleOptions {
  /** Told of each use of a name that is not on the list; what it would make becomes an `OpaqueObject`. */
  readonly onUnknownGlobal?: (name: string) => void;
  /** Resolves persistent ids (`torchStorage` for torch files); without it they are an error. */
  readonly persistent?: (id: PickleValue, fail: Fail) => PickleValue;
}

const REREAD_FACTOR = 4;
const REREAD_FREE = 1 << 24;

const ALLOWED: AllowList = new Map([...PYTHON_GLOBALS, ...NUMPY_GLOBALS, ...TORCH_GLOBALS]);

/**
 * Protocols 0 to 5. Memory is bounded by a small multiple of the pickle's own size, whatever it says.
 * @returns the value; `input` stands behind it, so that several pickles in a row can be read
 * @throws SlipError with the input's code for anything truncated, malformed or not allowed, naming file and byte
 */
export function unpickle(input: PickleInput, options: UnpickleOptions = {}): PickleValue {
  const machine = new Machine(input, { allowed: ALLOWED, ...options });
  while (machine.result === undefined) runNext(input, machine);
  return machine.result.value;
}

/**
 * A pickle that is one long list, or a numpy array of objects: its items batch by batch, as Python's pickler wrote them
 * (1000 at a time), so that a file of any size can be read. For each text or object that is remembered for later use it
 * needs 8 bytes.
 * @returns the whole: an `ItemList`, or the `NumpyArray` that has one as its data; anything else had no such list
 * @throws SlipError as `unpickle`, and when an item uses a list, tuple or dict of an earlier batch
 */
export function* unpickleItems(input: PickleInput): Generator<PickleValue[], PickleValue> {
  const items = new ItemList();
  const readAgain = (offset: number) => {
    const leaf = new Machine(input.at(offset), { allowed: ALLOWED });
    runNext(leaf.input, leaf);
    return leaf.top();
  };
  const memo = new OffsetMemo(readAgain, REREAD_FACTOR * input.length + REREAD_FREE);
  const machine = new Machine(input, { allowed: ALLOWED, memo, items });
  while (machine.result === undefined) {
    runNext(input, machine);
    if (items.pending > 0) {
      memo.forgetContainers();
      yield items.take();
    }
  }
  return machine.result.value;
}

function runNext(input: PickleInput, machine: Machine): void {
  const offset = input.offset;
  machine.begin(offset);
  const code = input.byte();
  const opcode = OPCODES[code];
  if (opcode === undefined) {
    input.fail(`has 0x${code.toString(16).padStart(2, '0')}, which is no pickle opcode; not a pickle?`, offset);
  }
  opcode.run(machine);
}
