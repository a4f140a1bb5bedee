package edge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mostLinks is as many links as Linux follows in one path (path_resolution(7)).
const mostLinks = 40

// openSite opens the folder at an absolute path. It refuses a link, at the path or on the way to it, that was made by a
// user other than root and ours, unless the link leads to a folder of that user. Such a user could have the edge serve
// files that only the hub may read. lkhub/host/link_makers.py has the same rule for what the hub copies.
func openSite(path string) (*os.Root, error) {
	root, err := openFolder(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return root, nil
}

func openFolder(path string) (*os.Root, error) {
	folder, makers, err := walk(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(folder) }()
	var status unix.Stat_t
	if err := retried(func() error { return unix.Fstat(folder, &status) }); err != nil {
		return nil, err
	}
	for _, maker := range makers {
		if maker != status.Uid {
			return nil, fmt.Errorf("it is, or is reached by, a link that user %d has made to a folder of user %d", maker, status.Uid)
		}
	}
	// Opens that folder, whatever is at the path by now.
	root, err := os.OpenRoot("/proc/self/fd/" + strconv.Itoa(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("/proc is not mounted")
	}
	if failed := new(os.PathError); errors.As(err, &failed) {
		return nil, failed.Err
	}
	return root, err
}

// walk opens the folder at an absolute path, as O_PATH does, and returns the users that made the links on the way,
// without root and ours.
func walk(path string) (at int, makers []uint32, err error) {
	if at, err = openAt(unix.AT_FDCWD, "/", unix.O_DIRECTORY); err != nil {
		return -1, nil, err
	}
	us, links := uint32(unix.Geteuid()), 0
	for left := path; left != ""; {
		var step string
		if step, left, _ = strings.Cut(left, "/"); step == "" {
			continue
		}
		// O_DIRECTORY has the kernel mount a folder that is mounted when it is used (autofs).
		found, err := openAt(at, step, unix.O_DIRECTORY)
		if errors.Is(err, unix.ENOTDIR) {
			var text string
			var maker uint32
			text, maker, err = readLink(at, step)
			if links++; err == nil && links > mostLinks {
				err = unix.ELOOP
			}
			if err == nil {
				left = text + "/" + left
				if maker != 0 && maker != us {
					makers = append(makers, maker)
				}
				if text[0] != '/' {
					continue
				}
				found, err = openAt(unix.AT_FDCWD, "/", unix.O_DIRECTORY)
			}
		}
		_ = unix.Close(at)
		if err != nil {
			return -1, nil, err
		}
		at = found
	}
	return at, makers, nil
}

// readLink returns the text and the maker of a link. It is opened and then read, so that no other one can take its place
// meanwhile.
func readLink(at int, name string) (text string, maker uint32, err error) {
	link, err := openAt(at, name, 0)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = unix.Close(link) }()
	var status unix.Stat_t
	if err = retried(func() error { return unix.Fstat(link, &status) }); err != nil {
		return "", 0, err
	}
	if status.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", 0, unix.ENOTDIR
	}
	buffer, n := make([]byte, unix.PathMax), 0
	err = retried(func() (err error) { n, err = unix.Readlinkat(link, "", buffer); return err })
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return string(buffer[:max(n, 0)]), status.Uid, err
}

func openAt(at int, name string, flag int) (found int, err error) {
	err = retried(func() (err error) {
		found, err = unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC|flag, 0)
		return err
	})
	return found, err
}

// retried calls again what a signal has interrupted, as package os does.
func retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
