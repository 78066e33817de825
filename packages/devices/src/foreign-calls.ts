// The package koffi, by which libraries of drivers are asked; not for every platform, and then devices are not looked for.
import { createRequire } from 'node:module';

/** @throws Error where it cannot be loaded */
export function loadKoffi(): typeof import('koffi') {
  return createRequire(import.meta.url)('koffi');
}
