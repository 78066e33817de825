// The part of ONNX's protobuf schema that a training step needs, its encoder and decoder; not the whole of onnx.proto.
import protobuf from 'protobufjs';

/** Field names are protobufjs' camel case forms of ONNX's. */
export interface AttributeProto {
  readonly name: string;
  /** 1 float, 2 int, 3 string, 7 ints. */
  readonly type: 1 | 2 | 3 | 7;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly ints?: readonly number[];
}

export interface NodeProto {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeProto[];
}

export interface TensorProto {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  /** Little endian. */
  readonly rawData: Uint8Array;
}

/** A size, or the name of one that is known when the model runs. */
export type DimensionProto = { readonly dimValue: number } | { readonly dimParam: string };

export interface ValueInfoProto {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: { readonly dim: readonly DimensionProto[] };
    };
  };
}

export interface GraphProto {
  readonly name: string;
  readonly node: readonly NodeProto[];
  readonly initializer: readonly TensorProto[];
  readonly input: readonly ValueInfoProto[];
  readonly output: readonly ValueInfoProto[];
  /** Shapes of other values, where the runtime could not find them out. */
  readonly valueInfo: readonly ValueInfoProto[];
}

/** Operator set 18 takes the axes of every reduction as an input; IR version 8 goes with it. */
const OPSETS = [
  { domain: '', version: 18 },
  { domain: 'com.microsoft', version: 1 },
];

const SCHEMA = `
  syntax = "proto2";
  package onnx;
  message AttributeProto {
    optional string name = 1;
    optional float f = 2;
    optional int64 i = 3;
    optional bytes s = 4;
    repeated int64 ints = 8;
    optional int32 type = 20;
  }
  message NodeProto {
    repeated string input = 1;
    repeated string output = 2;
    optional string name = 3;
    optional string op_type = 4;
    repeated AttributeProto attribute = 5;
    optional string domain = 7;
  }
  message TensorProto {
    repeated int64 dims = 1;
    optional int32 data_type = 2;
    optional string name = 8;
    optional bytes raw_data = 9;
  }
  message TensorShapeProto {
    message Dimension { optional int64 dim_value = 1; optional string dim_param = 2; }
    repeated Dimension dim = 1;
  }
  message TypeProto {
    message Tensor { optional int32 elem_type = 1; optional TensorShapeProto shape = 2; }
    optional Tensor tensor_type = 1;
  }
  message ValueInfoProto { optional string name = 1; optional TypeProto type = 2; }
  message GraphProto {
    repeated NodeProto node = 1;
    optional string name = 2;
    repeated TensorProto initializer = 5;
    repeated ValueInfoProto input = 11;
    repeated ValueInfoProto output = 12;
    repeated ValueInfoProto value_info = 13;
  }
  message OperatorSetIdProto { optional string domain = 1; optional int64 version = 2; }
  message ModelProto {
    optional int64 ir_version = 1;
    optional string producer_name = 2;
    optional GraphProto graph = 7;
    repeated OperatorSetIdProto opset_import = 8;
  }
`;

const modelType = protobuf.parse(SCHEMA).root.lookupType('onnx.ModelProto');

/** The graph of a model that `encodeModel` wrote. */
export function decodeModel(model: Uint8Array): GraphProto {
  const options = { longs: Number, arrays: true, defaults: false };
  return (modelType.toObject(modelType.decode(model), options) as { graph: GraphProto }).graph;
}

/** The bytes of a model file holding `graph`. */
export function encodeModel(graph: GraphProto): Uint8Array {
  return modelType.encode({ irVersion: 8, producerName: 'slip', graph, opsetImport: OPSETS }).finish();
}
