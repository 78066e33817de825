// Every opcode of protocols 0 to 5 as a table: byte, name, and what it does to the machine.
import type { Machine } from './machine.js';
import type { PickleValue } from './values.js';

export interface Opcode {
  readonly name: string;
  readonly run: (machine: Machine) => void;
}

/** No sensible file holds larger whole numbers, and turning text into them takes quadratic time. */
const MAX_LONG_BYTES = 1024;
const HIGHEST_PROTOCOL = 5;

type Row = [code: number | string, name: string, run: (machine: Machine) => void];

const ROWS: readonly Row[] = [
  // Constants.
  ['N', 'NONE', (m) => m.push(null)],
  [0x88, 'NEWTRUE', (m) => m.push(true)],
  [0x89, 'NEWFALSE', (m) => m.push(false)],
  ['I', 'INT', (m) => m.push(decimal(m, m.input.line(), true))],
  ['L', 'LONG', (m) => m.push(decimal(m, m.input.line().replace(/L$/, ''), false))],
  ['J', 'BININT', (m) => m.push(m.input.int32())],
  ['K', 'BININT1', (m) => m.push(m.input.uint(1))],
  ['M', 'BININT2', (m) => m.push(m.input.uint(2))],
  [0x8a, 'LONG1', (m) => m.push(long(m, m.input.uint(1)))],
  [0x8b, 'LONG4', (m) => m.push(long(m, m.input.uint(4)))],
  ['F', 'FLOAT', (m) => m.push(float(m, m.input.line()))],
  ['G', 'BINFLOAT', (m) => m.push(m.input.float64())],
  // Text and bytes. Python 2's strings come back with one character per byte.
  ['S', 'STRING', (m) => m.pushLeaf(unquote(m, m.input.line()))],
  ['T', 'BINSTRING', (m) => m.pushLeaf(m.input.latin1(m.input.uint(4)))],
  ['U', 'SHORT_BINSTRING', (m) => m.pushLeaf(m.input.latin1(m.input.uint(1)))],
  ['V', 'UNICODE', (m) => m.pushLeaf(unescapeUnicode(m.input.line()))],
  ['X', 'BINUNICODE', (m) => m.pushLeaf(m.input.text(m.input.uint(4)))],
  [0x8c, 'SHORT_BINUNICODE', (m) => m.pushLeaf(m.input.text(m.input.uint(1)))],
  [0x8d, 'BINUNICODE8', (m) => m.pushLeaf(m.input.text(m.input.length64()))],
  ['B', 'BINBYTES', (m) => m.pushLeaf(m.input.bytes(m.input.uint(4)))],
  ['C', 'SHORT_BINBYTES', (m) => m.pushLeaf(m.input.bytes(m.input.uint(1)))],
  [0x8e, 'BINBYTES8', (m) => m.pushLeaf(m.input.bytes(m.input.length64()))],
  [0x96, 'BYTEARRAY8', (m) => m.pushLeaf(m.input.bytes(m.input.length64()))],
  [0x97, 'NEXT_BUFFER', (m) => m.fail('keeps its data in a buffer outside the file')],
  [0x98, 'READONLY_BUFFER', () => undefined],
  // Containers.
  [']', 'EMPTY_LIST', (m) => m.pushList([])],
  ['l', 'LIST', (m) => m.pushList(m.popMark())],
  ['a', 'APPEND', (m) => appendTop(m, [m.pop()])],
  ['e', 'APPENDS', (m) => appendTop(m, m.popMark())],
  [')', 'EMPTY_TUPLE', (m) => m.push([])],
  ['t', 'TUPLE', (m) => m.push(m.popMark())],
  [0x85, 'TUPLE1', (m) => m.push(popSeveral(m, 1))],
  [0x86, 'TUPLE2', (m) => m.push(popSeveral(m, 2))],
  [0x87, 'TUPLE3', (m) => m.push(popSeveral(m, 3))],
  ['}', 'EMPTY_DICT', (m) => m.push(new Map())],
  ['d', 'DICT', dict],
  ['s', 'SETITEM', setItem],
  ['u', 'SETITEMS', setItems],
  [0x8f, 'EMPTY_SET', (m) => m.push(new Set())],
  [0x90, 'ADDITEMS', addItems],
  [0x91, 'FROZENSET', (m) => m.push(new Set(m.popMark()))],
  // Stack and memo.
  ['(', 'MARK', (m) => m.mark()],
  ['0', 'POP', (m) => m.discard()],
  ['1', 'POP_MARK', (m) => void m.popMark()],
  ['2', 'DUP', (m) => m.push(m.top())],
  ['p', 'PUT', (m) => m.remember(memoIndex(m))],
  ['q', 'BINPUT', (m) => m.remember(m.input.uint(1))],
  ['r', 'LONG_BINPUT', (m) => m.remember(m.input.uint(4))],
  [0x94, 'MEMOIZE', (m) => m.memoize()],
  ['g', 'GET', (m) => m.recall(memoIndex(m))],
  ['h', 'BINGET', (m) => m.recall(m.input.uint(1))],
  ['j', 'LONG_BINGET', (m) => m.recall(m.input.uint(4))],
  // Classes and objects.
  ['c', 'GLOBAL', (m) => m.push(m.lookUp(m.input.line(), m.input.line()))],
  [0x93, 'STACK_GLOBAL', stackGlobal],
  ['R', 'REDUCE', (m) => invoke(m, 'call')],
  [0x81, 'NEWOBJ', (m) => invoke(m, 'make')],
  [0x92, 'NEWOBJ_EX', newObjectWithKeywords],
  ['i', 'INST', instance],
  ['o', 'OBJ', object],
  ['b', 'BUILD', build],
  ['P', 'PERSID', (m) => m.push(m.persistent(m.input.line()))],
  ['Q', 'BINPERSID', (m) => m.push(m.persistent(m.pop()))],
  [0x82, 'EXT1', (m) => m.fail('uses the extension registry of one Python program')],
  [0x83, 'EXT2', (m) => m.fail('uses the extension registry of one Python program')],
  [0x84, 'EXT4', (m) => m.fail('uses the extension registry of one Python program')],
  // The frame of the whole.
  [0x80, 'PROTO', protocol],
  [0x95, 'FRAME', frame],
  ['.', 'STOP', stop],
];

/** By opcode byte; undefined where there is none. */
export const OPCODES: readonly (Opcode | undefined)[] = buildTable();

function buildTable(): (Opcode | undefined)[] {
  const table: (Opcode | undefined)[] = new Array(256).fill(undefined);
  for (const [code, name, run] of ROWS) table[typeof code === 'string' ? code.charCodeAt(0) : code] = { name, run };
  return table;
}

function protocol(m: Machine): void {
  const version = m.input.uint(1);
  if (version > HIGHEST_PROTOCOL) m.fail(`has pickle protocol ${version}; 0 to ${HIGHEST_PROTOCOL} can be read`);
}

function frame(m: Machine): void {
  const bytes = m.input.length64();
  if (bytes > m.input.left) m.fail(`announces a frame of ${bytes} bytes but only ${m.input.left} are left`);
}

function stop(m: Machine): void {
  m.result = { value: m.pop() };
}

function decimal(m: Machine, text: string, booleans: boolean): PickleValue {
  if (booleans && text === '00') return false;
  if (booleans && text === '01') return true;
  if (!/^ *[+-]?\d+ *$/.test(text) || text.length > 2 * MAX_LONG_BYTES)
    return m.fail('has a whole number that is none');
  return plain(BigInt(text.trim().replace(/^\+/, '')));
}

function float(m: Machine, text: string): number {
  const special = { nan: Number.NaN, inf: Number.POSITIVE_INFINITY, '-inf': Number.NEGATIVE_INFINITY }[text];
  if (special !== undefined) return special;
  const value = Number(text);
  return text.trim() === '' || Number.isNaN(value) ? m.fail('has a number that is none') : value;
}

/** Two's complement, little endian. */
function long(m: Machine, bytes: number): PickleValue {
  if (bytes > MAX_LONG_BYTES) m.fail(`has a whole number of ${bytes} bytes; at most ${MAX_LONG_BYTES} are read`);
  if (bytes === 0) return 0;
  const little = m.input.bytes(bytes);
  const negative = little[bytes - 1] >= 128;
  const value = BigInt(`0x${Buffer.from(little.reverse()).toString('hex')}`);
  return plain(negative ? value - (1n << BigInt(8 * bytes)) : value);
}

function plain(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Python's repr of a string of bytes. */
function unquote(m: Machine, line: string): string {
  const quote = line[0];
  if (line.length < 2 || (quote !== "'" && quote !== '"') || line[line.length - 1] !== quote) {
    return m.fail('has a string without quotes');
  }
  const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' };
  return line
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))/gs, (_, hex?: string, octal?: string, other = '') => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 255);
      return escapes[other] ?? (/['"\\]/.test(other) ? other : `\\${other}`);
    });
}

/** Protocol 0 text: latin-1, everything else as a backslash escape. */
function unescapeUnicode(line: string): string {
  return line.replace(/\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g, (whole, short?: string, long?: string) => {
    const point = Number.parseInt(short ?? long ?? '', 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}

function memoIndex(m: Machine): number {
  const text = m.input.line();
  return /^\d{1,10}$/.test(text) ? Number(text) : m.fail('has an odd memo number');
}

function popSeveral(m: Machine, count: number): PickleValue[] {
  const items: PickleValue[] = [];
  for (let i = 0; i < count; i++) items.push(m.pop());
  return items.reverse();
}

function appendTop(m: Machine, items: PickleValue[]): void {
  m.append(m.top(), items);
}

function dict(m: Machine): void {
  const items = m.popMark();
  m.push(new Map());
  m.setItems(m.top(), items);
}

function setItem(m: Machine): void {
  const items = popSeveral(m, 2);
  m.setItems(m.top(), items);
}

function setItems(m: Machine): void {
  const items = m.popMark();
  m.setItems(m.top(), items);
}

function addItems(m: Machine): void {
  const items = m.popMark();
  m.add(m.top(), items);
}

function stackGlobal(m: Machine): void {
  const [module, name] = popSeveral(m, 2);
  m.push(m.lookUp(module, name));
}

function invoke(m: Machine, use: 'call' | 'make'): void {
  const [type, args] = popSeveral(m, 2);
  m.push(m.call(type, args, use));
}

function newObjectWithKeywords(m: Machine): void {
  const [type, args, keywords] = popSeveral(m, 3);
  if (!(keywords instanceof Map) || keywords.size > 0) m.fail('makes an object with keyword arguments');
  m.push(m.call(type, args, 'make'));
}

function instance(m: Machine): void {
  const type = m.lookUp(m.input.line(), m.input.line());
  m.push(m.call(type, m.popMark(), 'call'));
}

function object(m: Machine): void {
  const [type, ...args] = m.popMark();
  m.push(m.call(type ?? null, args, 'call'));
}

function build(m: Machine): void {
  const state = m.pop();
  m.build(m.top(), state);
}
