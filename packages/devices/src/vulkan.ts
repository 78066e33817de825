// Adapters that Vulkan offers, in the order in which WebGPU takes them. ONNX Runtime does not tell which one it took, so that the
// driver is asked in the same way.
import { loadKoffi } from './foreign-calls.js';

export interface Adapter {
  readonly name: string;
  readonly type: 'discrete' | 'integrated' | 'virtual' | 'cpu' | 'other';
  /** Of the device, hexadecimal: equal for workers that share it. */
  readonly uuid: string;
}

const SUCCESS = 0;
const MAX_DEVICES = 64;
/** VkStructureType numbers, and sizes of the structures of Vulkan 1.1 with room to spare. */
const APPLICATION_INFO = 0;
const INSTANCE_CREATE_INFO = 1;
const PROPERTIES_2 = 1_000_059_001;
const ID_PROPERTIES = 1_000_071_004;
const PROPERTIES_2_BYTES = 1024;
const ID_PROPERTIES_BYTES = 64;
/** Offsets in VkPhysicalDeviceProperties2: the properties begin behind type and chain. */
const TYPE_OFFSET = 16 + 16;
const NAME_OFFSET = 16 + 20;
const NAME_BYTES = 256;
const API_1_1 = (1 << 22) | (1 << 12);
const TYPES = ['other', 'integrated', 'discrete', 'virtual', 'cpu'] as const;
/** As WebGPU prefers them where speed is asked for. */
const PREFERENCE = ['discrete', 'integrated', 'virtual', 'other', 'cpu'];

/** The adapters, the one that WebGPU takes first. @throws Error where there is no Vulkan loader or it fails */
export function listAdapters(): Adapter[] {
  const koffi = loadKoffi();
  const vulkan = koffi.load('libvulkan.so.1');
  const createInstance = vulkan.func(
    'int vkCreateInstance(const void *info, const void *allocator, _Out_ void **instance)',
  );
  const destroyInstance = vulkan.func('void vkDestroyInstance(void *instance, const void *allocator)');
  const enumerate = vulkan.func(
    'int vkEnumeratePhysicalDevices(void *instance, _Inout_ uint32_t *count, _Out_ void **devices)',
  );
  const getProperties = vulkan.func('void vkGetPhysicalDeviceProperties2(void *device, void *properties)');

  const instances: unknown[] = [null];
  const failed = createInstance(instanceInfo(koffi), null, instances);
  if (failed !== SUCCESS) throw new Error(`Vulkan gives no instance (error ${failed})`);
  const [instance] = instances;
  try {
    const count = [MAX_DEVICES];
    const devices = new Array<unknown>(MAX_DEVICES).fill(null);
    if (enumerate(instance, count, devices) < SUCCESS) return [];
    const found = devices.slice(0, count[0]).map((device) => {
      const identity = Buffer.alloc(ID_PROPERTIES_BYTES);
      identity.writeUInt32LE(ID_PROPERTIES, 0);
      const properties = Buffer.alloc(PROPERTIES_2_BYTES);
      properties.writeUInt32LE(PROPERTIES_2, 0);
      properties.writeBigUInt64LE(koffi.address(identity), 8);
      getProperties(device, properties);
      return readAdapter(properties, identity);
    });
    return found.sort((a, b) => PREFERENCE.indexOf(a.type) - PREFERENCE.indexOf(b.type));
  } finally {
    destroyInstance(instance, null);
  }
}

/** VkInstanceCreateInfo with an application that asks for Vulkan 1.1. */
function instanceInfo(koffi: ReturnType<typeof loadKoffi>): Buffer {
  const application = Buffer.alloc(48);
  application.writeUInt32LE(APPLICATION_INFO, 0);
  application.writeUInt32LE(API_1_1, 44);
  const info = Buffer.alloc(64);
  info.writeUInt32LE(INSTANCE_CREATE_INFO, 0);
  info.writeBigUInt64LE(koffi.address(application), 24);
  // The inner structure lives as long as the outer one.
  kept.set(info, application);
  return info;
}

const kept = new WeakMap<Buffer, Buffer>();

function readAdapter(properties: Buffer, identity: Buffer): Adapter {
  const name = properties.toString('utf8', NAME_OFFSET, NAME_OFFSET + NAME_BYTES);
  return {
    name: name.slice(0, Math.max(0, name.indexOf('\0'))),
    type: TYPES[properties.readUInt32LE(TYPE_OFFSET)] ?? 'other',
    uuid: identity.toString('hex', 16, 32),
  };
}
