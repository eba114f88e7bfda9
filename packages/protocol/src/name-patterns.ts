export const HANDLE_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9._-]*$";
export const SECRET_NAME_PATTERN = "^[a-zA-Z_][a-zA-Z0-9_.-]*$";
