import { start } from './main.ts'

// The entry of the bundle: one CommonJS file, because Node starts those sooner than modules.
start()
