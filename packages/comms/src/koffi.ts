// The package koffi, through which the C library and libzmq are called; optional, since it is not for every platform.
import { createRequire } from 'node:module';

export type Koffi = typeof import('koffi');

/** @returns what `bind` makes of it, or why it cannot be had; `failed` begins the reason when `bind` throws */
export function withKoffi<T extends object>(
  failed: string,
  bind: (koffi: Koffi) => T,
): T | { readonly missing: string } {
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)('koffi');
  } catch (error) {
    return { missing: `the package koffi cannot be loaded: ${(error as Error).message.split('\n')[0]}` };
  }
  try {
    return bind(koffi);
  } catch (error) {
    return { missing: `${failed}: ${(error as Error).message}` };
  }
}
