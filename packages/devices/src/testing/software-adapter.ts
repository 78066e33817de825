// For tests: a WebGPU adapter that computes on the CPU, SwiftShader, from Debian's chromium package.
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const DRIVER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Environment in which the Vulkan loader finds the software adapter and nothing else. */
export const SOFTWARE_ADAPTER: Readonly<Record<string, string>> = {
  VK_DRIVER_FILES: DRIVER,
  VK_ICD_FILENAMES: DRIVER,
  XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir(),
};

/** Why tests with the software adapter are skipped; undefined where it is here. @throws Error where CI may not skip them */
export function withoutSoftwareAdapter(): string | undefined {
  if (existsSync(DRIVER)) return undefined;
  const reason = `no software WebGPU adapter (${DRIVER}): apt-get install chromium`;
  if (process.env.CI_REQUIRE_WEBGPU === '1') throw new Error(reason);
  return reason;
}

/** For this process, before the first session. */
export function useSoftwareAdapter(): void {
  Object.assign(process.env, SOFTWARE_ADAPTER);
}
