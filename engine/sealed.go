package main

import (
	"encoding/json"
	"flag"
	"io"
	"os"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/message"
	"lkhub/engine/internal/sealed"
)

// Keys are a few public keys, or the texts of a few files with private ones.
const maxKeysBytes = 1 << 20

func runEncrypt(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runSealed("encrypt", sealed.Encrypt, args, stdin, stdout, stderr)
}

func runDecrypt(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runSealed("decrypt", sealed.Decrypt, args, stdin, stdout, stderr)
}

// runSealed passes stdin to another descriptor, encrypted or decrypted, and writes {"version": 1} when all of it is
// written. Descriptors are given by number: neither a passphrase nor what is decrypted has a name in the file system.
func runSealed(
	name string, pass func(io.Reader, io.Writer, sealed.Keys) error, args []string, stdin io.Reader, stdout, stderr io.Writer,
) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	keys := flags.Int("keys", 3, "the `descriptor` with the keys, in JSON: passphrase, recipients, identities")
	to := flags.Int("to", 4, "the `descriptor` that is written to")
	if code, done := parseFlags(flags, args, 0, stdout, stderr); done {
		return code
	}
	var given sealed.Keys
	if err := json.NewDecoder(io.LimitReader(os.NewFile(uintptr(*keys), "keys"), maxKeysBytes)).Decode(&given); err != nil {
		return failure.Report(stdout, failure.Usage("%s: the descriptor %d has no keys", name, *keys))
	}
	output := os.NewFile(uintptr(*to), "output")
	if output == nil {
		return failure.Report(stdout, failure.Usage("%s: the descriptor %d is not open", name, *to))
	}
	if err := pass(stdin, output, given); err != nil {
		return failure.Report(stdout, err)
	}
	if err := output.Close(); err != nil {
		return failure.Report(stdout, err)
	}
	message.Write(stdout, map[string]any{})
	return failure.ExitOK
}
