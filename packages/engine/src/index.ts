// traced tfjs steps compiled to ONNX Runtime.
export {};
