package agents

import (
	"sync"

	"github.com/livekit/protocol/livekit"
)

// Connection is the connection of one worker. Its methods are called with the messages in the order of the connection.
type Connection struct {
	book            *Book
	address, apiKey string
	mu              sync.Mutex
	asked           *livekit.RegisterWorkerRequest
	id              string // "": it has not registered
}

// Connect returns the book's view of a connection from this address, "host:port", that was accepted with this API key.
func (b *Book) Connect(address, apiKey string) *Connection {
	return &Connection{book: b, address: address, apiKey: apiKey}
}

// FromWorker takes a message that the worker has sent.
func (c *Connection) FromWorker(message *livekit.WorkerMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if asked := message.GetRegister(); asked != nil {
		c.asked = asked
	}
	if c.id == "" {
		return
	}
	switch told := message.GetMessage().(type) {
	case *livekit.WorkerMessage_UpdateWorker:
		c.book.updateWorker(c.id, told.UpdateWorker)
	case *livekit.WorkerMessage_UpdateJob:
		c.book.updateJob(c.id, told.UpdateJob)
	case *livekit.WorkerMessage_MigrateJob:
		c.book.keepJobs(c.id, told.MigrateJob.GetJobIds())
	}
}

// ToWorker takes a message that the server sends. It is called before the message leaves, and tells whether it may: a job
// may not be given whose place in its room has an agent.
func (c *Connection) ToWorker(message *livekit.ServerMessage) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch told := message.GetMessage().(type) {
	case *livekit.ServerMessage_Register:
		c.id = told.Register.GetWorkerId()
		c.book.register(c.id, c.address, c.apiKey, c.asked)
	case *livekit.ServerMessage_Availability:
		return c.book.offer(told.Availability.GetJob())
	case *livekit.ServerMessage_Assignment:
		if c.id != "" {
			return c.book.assign(c.id, told.Assignment.GetJob())
		}
	}
	return true
}

// Close takes the end of the connection. Messages that come later are not heard.
func (c *Connection) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != "" {
		c.book.leave(c.id)
	}
	c.id = ""
}
