/** The parts of an OpenAPI document that the page of the API shows. The hub makes them (lkhub/service/openapi.py). */
export interface Document {
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; securitySchemes: Record<string, { description: string }> };
}

export interface Operation {
  operationId: string;
  summary: string;
  security: Record<string, unknown>[];
  parameters?: { name: string; description: string }[];
  requestBody?: Body;
  responses: Record<string, Response>;
}

interface Body {
  description: string;
  content: Record<string, { schema: Schema }>;
}

interface Response extends Partial<Body> {
  description: string;
  headers?: Record<string, { description: string }>;
}

export interface Schema {
  $ref?: string;
  type?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  anyOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}

export interface Address {
  method: string;
  path: string;
  operation: Operation;
}

export interface Field {
  name: string;
  type: string;
  required: boolean;
}

export function listAddresses(document: Document): Address[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

/** The fields of a body, and the type that it is sent as. */
export function readBody(document: Document, body: Partial<Body> | undefined): { media: string; fields: Field[] } {
  const [media, content] = Object.entries(body?.content ?? {})[0] ?? ['', { schema: {} }];
  const schema = resolve(document, content.schema);
  const required = schema.required ?? [];
  const fields = Object.entries(schema.properties ?? {}).map(([name, field]) => ({
    name,
    type: describeType(field),
    required: required.includes(name),
  }));
  return { media, fields };
}

function resolve(document: Document, schema: Schema): Schema {
  const name = schema.$ref?.replace('#/components/schemas/', '');
  return name === undefined ? schema : (document.components.schemas[name] ?? {});
}

/** A schema in words. */
export function describeType(schema: Schema): string {
  if (schema.anyOf) return schema.anyOf.map(describeType).join(' or ');
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  switch (schema.type) {
    case 'string':
      return `text${range(schema.minLength, schema.maxLength, ' characters')}`;
    case 'integer':
      return `whole number${range(schema.minimum, schema.maximum, '')}`;
    case 'boolean':
      return 'true or false';
    case 'object':
      return typeof schema.additionalProperties === 'object' ? 'object of texts' : 'object';
    default:
      return schema.type ?? (schema.$ref === undefined ? 'any JSON' : 'object');
  }
}

function range(least: number | undefined, most: number | undefined, unit: string): string {
  if (least !== undefined && most !== undefined) return `, ${least} to ${most}${unit}`;
  if (most !== undefined) return `, at most ${most}${unit}`;
  return least === undefined ? '' : `, at least ${least}${unit}`;
}

/** A command that makes the request, for a shell. */
export function writeCurl(document: Document, address: Address, origin: string): string {
  const { operation, method, path } = address;
  const parts = ['curl'];
  if (!operation.security.some((way) => Object.keys(way).length === 0)) parts.push("-H 'Authorization: Bearer KEY'");
  const { media, fields } = readBody(document, operation.requestBody);
  if (media !== '') {
    const given = fields.filter((field) => field.required).map((field) => `"${field.name}": "…"`);
    parts.push(`-H 'Content-Type: ${media}'`, `-d '{${given.join(', ')}}'`);
  } else if (method !== 'GET') {
    parts.push(`-X ${method}`);
  }
  return [...parts, `${origin}${path}`].join(' \\\n  ');
}
