import { Ajv, type AnySchema, type ValidateFunction } from "ajv";

/**
 * Checks what comes in against the routes' schemas. A check is made when it is first needed: most routes of most
 * daemons are never called, and a check takes a hundred times the memory of its schema.
 *
 * @returns a compiler for Fastify, which gives it a route's schema with what else it knows of the route
 */
export function checkInput(): (route: AnySchema) => ValidateFunction {
  let ajv: Ajv | null = null;
  return (route) => {
    const { schema } = route as { schema: AnySchema };
    let made: ValidateFunction | null = null;
    const check = (data: unknown): boolean => {
      made ??= (ajv ??= new Ajv({ allErrors: true })).compile(schema);
      const isValid = made(data);
      validate.errors = made.errors ?? null;
      return isValid;
    };
    const validate = check as unknown as ValidateFunction;
    return validate;
  };
}

/** No route declares what it answers. */
export const asJson = () => (data: unknown) => JSON.stringify(data);
