// The stack machine that a pickle drives: stack, marks and memo, and how names are looked up. The opcodes are in opcodes.ts.
import type { AllowedGlobal, AllowList, Fail } from './allow-list.js';
import { type Memo, ValueMemo } from './memo.js';
import { buildArray, buildDtype } from './numpy-globals.js';
import type { PickleInput } from './pickle-input.js';
import {
  GlobalName,
  ItemList,
  Namespace,
  NumpyArray,
  NumpyDtype,
  OpaqueObject,
  OrderedDict,
  type PickleValue,
} from './values.js';

export interface MachineOptions {
  readonly allowed: AllowList;
  /** Called for a name that is not allowed, which then becomes an `OpaqueObject`; without it the name is an error. */
  readonly onUnknownGlobal?: ((name: string) => void) | undefined;
  /** Resolves persistent ids; without it they are an error. */
  readonly persistent?: ((id: PickleValue, fail: Fail) => PickleValue) | undefined;
  /** Where memo entries are kept; as values unless given. */
  readonly memo?: Memo | undefined;
  /** The first list of the pickle becomes this one, whose items are taken out as they come. */
  readonly items?: ItemList | undefined;
}

/**
 * A few bytes of a pickle can name a large value again and have it copied; what all copies take together is limited to this
 * many times the pickle's own size. Real ones copy each value once.
 */
const COPY_FACTOR = 16;
const COPY_FREE = 1 << 20;
/** Names in Python are shorter, and looking long ones up again and again takes time. */
const MAX_NAME_LENGTH = 500;

export class Machine {
  readonly input: PickleInput;
  #copies: number;
  readonly #options: MachineOptions;
  readonly #fail: Fail;
  #stack: PickleValue[] = [];
  /** Stacks below the open marks. */
  readonly #below: PickleValue[][] = [];
  readonly #memo: Memo;
  #items: ItemList | undefined;
  #opcodeOffset = 0;
  #previousOffset = 0;
  /** Where the newest text or bytes were written. */
  #leafOffset = -1;
  /** Set by STOP. */
  result: { value: PickleValue } | undefined;

  constructor(input: PickleInput, options: MachineOptions) {
    this.input = input;
    this.#copies = COPY_FACTOR * input.length + COPY_FREE;
    this.#options = options;
    this.#memo = options.memo ?? new ValueMemo();
    this.#items = options.items;
    this.#fail = (what) => this.fail(what);
  }

  /** Errors are reported at the opcode being run, not behind its arguments. */
  begin(offset: number): void {
    this.#previousOffset = this.#opcodeOffset;
    this.#opcodeOffset = offset;
  }

  fail(what: string): never {
    return this.input.fail(what, this.#opcodeOffset);
  }

  push(value: PickleValue): void {
    this.#stack.push(value);
  }

  /** Text or bytes, which can be read again from where they are. */
  pushLeaf(value: string | Uint8Array): void {
    this.#leafOffset = this.#opcodeOffset;
    this.#stack.push(value);
  }

  pushList(items: PickleValue[]): void {
    if (this.#items === undefined || items.length > 0) {
      this.#stack.push(items);
      return;
    }
    this.#stack.push(this.#items);
    this.#items = undefined;
  }

  pop(): PickleValue {
    if (this.#stack.length === 0) this.fail('takes from an empty stack');
    return this.#stack.pop() as PickleValue;
  }

  top(): PickleValue {
    if (this.#stack.length === 0) this.fail('looks at an empty stack');
    return this.#stack[this.#stack.length - 1];
  }

  mark(): void {
    this.#below.push(this.#stack);
    this.#stack = [];
  }

  /** Everything above the newest mark, which goes. */
  popMark(): PickleValue[] {
    const items = this.#stack;
    this.#stack = this.#below.pop() ?? this.fail('closes a mark that was never set');
    return items;
  }

  /** POP removes a mark where there is nothing above it. */
  discard(): void {
    if (this.#stack.length > 0) this.#stack.pop();
    else this.popMark();
  }

  /** Picklers number memo entries in order (Python 2 from 1); a gap would be an invitation to fill memory. */
  remember(index: number): void {
    if (!(index >= 0 && index <= this.#memo.length + 1)) this.fail(`uses the memo entry ${index} out of order`);
    this.#memo.set(index, this.top(), this.#leafOffset === this.#previousOffset ? this.#leafOffset : undefined);
  }

  memoize(): void {
    this.remember(this.#memo.length);
  }

  recall(index: number): void {
    this.push(this.#memo.get(index, this.#fail));
  }

  /** A class or function by its name; calling it is `call`. */
  lookUp(module: PickleValue, name: PickleValue): GlobalName {
    if (typeof module !== 'string' || typeof name !== 'string') return this.fail('has a name that is not text');
    if (module.length + name.length > MAX_NAME_LENGTH) this.fail('has a name longer than any in Python');
    const global = new GlobalName(module, name);
    if (!this.#options.allowed.has(`${global}`)) {
      if (this.#options.onUnknownGlobal === undefined) {
        this.fail(`wants ${printable(`${global}`)}, which is not on the list of names that a data file may use`);
      }
      this.#options.onUnknownGlobal(`${global}`);
    }
    return global;
  }

  /** `type(*args)` for an allowed name, otherwise a record of the wish. Runs nothing but our own code. */
  call(type: PickleValue, args: PickleValue, use: 'call' | 'make'): PickleValue {
    if (!(type instanceof GlobalName)) return this.fail('calls something that is not a class or function');
    if (!Array.isArray(args)) return this.fail(`calls ${printable(`${type}`)} with something else than arguments`);
    const allowed: AllowedGlobal | undefined = this.#options.allowed.get(`${type}`);
    if (allowed === undefined) return new OpaqueObject(type, args);
    const action = (use === 'make' ? allowed.make : undefined) ?? allowed.call;
    if (action === undefined) return this.fail(`calls ${type}, which may only be named`);
    this.#spend(args);
    return action(args, this.#fail);
  }

  persistent(id: PickleValue): PickleValue {
    if (this.#options.persistent === undefined) return this.fail('refers to an object outside the file');
    return this.#options.persistent(id, this.#fail);
  }

  append(target: PickleValue, items: PickleValue[]): void {
    if (target instanceof ItemList) {
      target.deliver(items);
      return;
    }
    const list = target instanceof OpaqueObject ? target.items : target;
    if (!Array.isArray(list)) this.fail('appends to something that is not a list');
    for (const item of items) list.push(item);
  }

  add(target: PickleValue, items: readonly PickleValue[]): void {
    if (!(target instanceof Set)) this.fail('adds to something that is not a set');
    for (const item of items) target.add(item);
  }

  setItems(target: PickleValue, items: PickleValue[]): void {
    if (items.length % 2 !== 0) this.fail('has a key without a value');
    if (target instanceof OpaqueObject) {
      this.append(target, items);
      return;
    }
    if (!(target instanceof Map)) this.fail('sets items of something that is not a dict');
    for (let i = 0; i < items.length; i += 2) target.set(items[i], items[i + 1]);
  }

  /** BUILD: gives the object on the stack its attributes. */
  build(target: PickleValue, state: PickleValue): void {
    this.#spend(state);
    if (target instanceof OpaqueObject) target.state = state;
    else if (target instanceof NumpyDtype) buildDtype(target, state, this.#fail);
    else if (target instanceof NumpyArray) buildArray(target, state, this.#fail);
    else if (target instanceof Namespace || target instanceof OrderedDict) {
      const attributes = state instanceof Map ? state : this.fail('sets attributes from something that is not a dict');
      if (target instanceof OrderedDict) target.attributes = attributes;
      else for (const [name, value] of attributes) target.attributes.set(name, value);
    } else this.fail('sets attributes of something that has none');
  }

  /** Counts what working on a value may copy or walk through, two levels deep, as far as our own code goes. */
  #spend(value: PickleValue): void {
    this.#copies -= sizeOf(value);
    if (Array.isArray(value)) for (const item of value) this.#copies -= sizeOf(item);
    if (this.#copies < 0) this.fail('uses the same values again and again, as only a file made to harm does');
  }
}

/** Names come from the file: nothing in them may disturb a terminal. */
function printable(name: string): string {
  const shown = name.length > 80 ? `${name.slice(0, 80)}...` : name;
  return JSON.stringify(shown).slice(1, -1);
}

function sizeOf(value: PickleValue): number {
  if (typeof value === 'string' || value instanceof Uint8Array || Array.isArray(value)) return value.length;
  return value instanceof Map || value instanceof Set ? value.size : 1;
}
