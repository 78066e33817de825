// What is used of the global WebAssembly: Node has it, @types/node leaves it to the browser's library.

/** Shared between threads by sending it; `grow` takes pages of 64 KiB and leaves earlier views of it valid. */
export interface SharedWasmMemory {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
}

/** A compiled module, for as many instances as wanted. */
export type WasmModule = object;

interface Api {
  readonly Memory: new (limits: { initial: number; maximum: number; shared: true }) => SharedWasmMemory;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (module: WasmModule, imports: object) => { readonly exports: unknown };
}

const { Memory, Module, Instance } = (globalThis as unknown as { readonly WebAssembly: Api }).WebAssembly;

/** @param binary the module, or its base64 */
export function compileWasm(binary: Uint8Array | string): WasmModule {
  return new Module(typeof binary === 'string' ? Buffer.from(binary, 'base64') : binary);
}

/** @returns its exports */
export function instantiateWasm<Exports>(module: WasmModule, imports: object = {}): Exports {
  return new Instance(module, imports).exports as Exports;
}

/** @param initial and `maximum` in pages of 64 KiB */
export function sharedWasmMemory(initial: number, maximum: number): SharedWasmMemory {
  return new Memory({ initial, maximum, shared: true });
}
